// tidemark/react in a browser.
import { bindingContract } from './contract.js'
import { reactDriver } from './react-driver.js'

bindingContract(reactDriver())
