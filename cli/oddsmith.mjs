#!/usr/bin/env node
// The command `oddsmith`: says which Node it needs before anything else is loaded.
import '../deploy/requireNode.mjs'

await import('./main.ts')
