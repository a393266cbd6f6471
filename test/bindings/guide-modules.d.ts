// Blocks of the guide as modules, see guide-blocks.ts.
declare module 'guide:*'
