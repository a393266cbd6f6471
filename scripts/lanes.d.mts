export function inLanes<T>(tasks: readonly (() => Promise<T>)[], lanes: number): Promise<T[]>
