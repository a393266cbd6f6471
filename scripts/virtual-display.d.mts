export function startDisplay(xvfb: string): Promise<{ readonly name: string; stop(): void }>
