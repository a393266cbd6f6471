/**
 * Begins a log before anything happens to its server. A log that a backup does not have is another one after that backup was
 * restored, with which no device of it syncs: that is as it should be, and not what a round is about.
 */
export async function beginLog(url: string, log: string): Promise<void> {
  const response = await fetch(`${url}/logs/${log}/info`, { headers: { 'Tidemark-Sync': '1', 'X-User': 'ledger' } })
  if (!response.ok) throw new Error(`The log ${log} did not begin: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
}
