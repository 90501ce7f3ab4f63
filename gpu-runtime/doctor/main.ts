/**
 * npm run doctor: is this machine fit to train on, and what is wrong if not? On one page: driver, provider, card, placement of
 * every node, numbers against float64, transfers, and a step's time against what matrix products reach. Exits 1 when something
 * is wrong. Without a card it examines the CPU.
 */
import { examine } from './examine.ts'
import { page } from './report.ts'

const findings = await examine()
console.log(page(findings))
process.exit(findings.some(({ state }) => state === 'wrong') ? 1 : 0)
