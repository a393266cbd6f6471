/** Whether a value has properties of its own to look at: an object or a list, and neither null nor a function. */
export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
