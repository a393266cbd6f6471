import { appContract } from './app.js'

appContract({ name: 'IndexedDB', shared: true })
