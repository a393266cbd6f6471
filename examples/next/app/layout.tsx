import type { ReactNode } from 'react'
import '../../shared/todo.css'

export const metadata = { title: 'To-do with tidemark and Next' }

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <main>{children}</main>
      </body>
    </html>
  )
}
