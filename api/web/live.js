/* Keeps the page of a running run current: the GraphQL subscription says that something happened, the server renders it. */
const section = document.querySelector('[data-live]')
const { run, cursor } = section.dataset
const query = 'subscription ($id: ID!, $after: Int) { runEvents(id: $id, after: $after) { cursor } }'
const variables = JSON.stringify({ id: run, after: Number(cursor) })
const source = new EventSource(`/graphql?${new URLSearchParams({ query, variables })}`)

let waiting = false
let again = false

async function refresh() {
  if (waiting) {
    again = true
    return
  }
  waiting = true
  const answer = await fetch(`/runs/${run}?part=live`, { headers: { accept: 'text/html' } }).catch(() => null)
  if (answer?.ok) {
    const open = section.querySelector('details')?.open
    const log = section.querySelector('.log')
    const follows = !log || log.scrollTop + log.clientHeight >= log.scrollHeight - 8
    const at = log?.scrollTop
    section.innerHTML = await answer.text()
    if (open) section.querySelector('details')?.setAttribute('open', '')
    const next = section.querySelector('.log')
    if (next) next.scrollTop = follows ? next.scrollHeight : at
    if (answer.headers.get('x-run-ended') === 'yes') source.close()
  }
  setTimeout(() => {
    waiting = false
    if (again) {
      again = false
      refresh()
    }
  }, 1000)
}

source.addEventListener('next', refresh)
source.addEventListener('complete', () => {
  source.close()
  again = true
  if (!waiting) refresh()
})
const log = section.querySelector('.log')
if (log) log.scrollTop = log.scrollHeight
