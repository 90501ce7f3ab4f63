/** drizzle-kit: `npm run migration -- --name what_changed` writes a folder under migrations/. */
import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: './schema/tables.ts',
  out: './migrations',
})
