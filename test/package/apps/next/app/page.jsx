import { Baskets } from './baskets'

export default function Page() {
  return <main><h1>Baskets</h1><Baskets /></main>
}
