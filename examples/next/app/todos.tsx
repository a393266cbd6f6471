'use client'

// What imports tidemark belongs to the browser's side: this line makes the React example a client component.
export { Todos as TodosInBrowser } from '../../react/src/Todos'
