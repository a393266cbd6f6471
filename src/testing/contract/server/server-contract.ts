/**
 * What every server of synced stores must do, in whatever language: docs/protocol.md rule by rule, over HTTP. Runs under
 * any test runner:
 *
 * `for (const { name, run } of serverContract(open)) test(name, run)`
 */
import { contractCase, type ContractCase } from '../contract-case.js'
import { badInputCases } from './contract-bad-input.js'
import type { AddServerCase, ServerSubject } from './contract-client.js'
import { pullCases } from './contract-pulls.js'
import { raceCases } from './contract-races.js'
import { requestCases } from './contract-requests.js'
import { restoreCases } from './contract-restores.js'
import { ruleCases } from './contract-rules.js'
import { wakeCases } from './contract-wakes.js'

/**
 * The cases. Each opens a server, or a log, of its own.
 *
 * @example
 * const open = async () => {
 *   const url = `http://127.0.0.1:8080/logs/${crypto.randomUUID()}`
 *   return { url, headers: (author) => ({ 'X-User': encodeURIComponent(author) }), dispose: async () => {} }
 * }
 * for (const { name, run } of serverContract(open)) test(name, run)
 */
export function serverContract(open: () => Promise<ServerSubject>): ContractCase[] {
  const cases: ContractCase[] = []
  const add: AddServerCase = (name, check) => {
    cases.push(contractCase(name, open, check))
  }
  for (const part of [requestCases, ruleCases, badInputCases, raceCases, pullCases, wakeCases, restoreCases]) part(add)
  return cases
}
