import '../../shared/todo.css'
import '../../shared/synced-todo.css'
import { createRoot } from 'react-dom/client'
import { Todos } from './Todos'

createRoot(document.querySelector('#app')!).render(<Todos />)
