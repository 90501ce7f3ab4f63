/* Keeps the page of a running run current: the GraphQL subscription says that something happened, the server renders it. */
const section = document.querySelector('[data-live]')
const { run, cursor } = section.dataset
const query =
  'subscription ($id: ID!, $after: Int!) { runEvents(id: $id, after: $after) { cursor } }'
const variables = JSON.stringify({ id: run, after: Number(cursor) })
const source = new EventSource(`/graphql?${new URLSearchParams({ query, variables })}`)

const toEnd = (log) => {
  if (log) log.scrollTop = log.scrollHeight
}

/** Replaces the section, keeping what the reader opened and where he has scrolled to. */
function show(markup) {
  const open = section.querySelector('details')?.open
  const before = section.querySelector('.log')
  const at = before?.scrollTop
  const follows = !before || at + before.clientHeight >= before.scrollHeight - 8
  section.innerHTML = markup
  if (open) section.querySelector('details')?.setAttribute('open', '')
  const after = section.querySelector('.log')
  if (follows) toEnd(after)
  else if (after) after.scrollTop = at
}

let busy = false
let again = false

/** At most once a second; what happens meanwhile is shown by the next time. An answer that is lost waits for the next event. */
async function refresh() {
  if (busy) {
    again = true
    return
  }
  busy = true
  try {
    const answer = await fetch(`/runs/${run}?part=live`)
    if (answer.ok && !answer.redirected) show(await answer.text())
    if (answer.headers.get('x-run-ended') === 'yes') source.close()
  } catch {
    again = source.readyState !== EventSource.CLOSED
  }
  setTimeout(() => {
    busy = false
    if (again) {
      again = false
      void refresh()
    }
  }, 1000)
}

source.addEventListener('next', refresh)
source.addEventListener('complete', () => {
  source.close()
  void refresh()
})
toEnd(section.querySelector('.log'))
