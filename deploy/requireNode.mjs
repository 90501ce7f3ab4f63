// Loaded before everything else by the npm scripts, so it has to run on any Node: says which one is needed.
// Where npm has a build of Node 24 for the platform, the scripts run on that one and this is silent.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 24 || (major === 24 && minor < 12)) {
  console.error(
    `Oddsmith needs Node 24.12 or newer, this is ${process.versions.node} (${process.platform} ${process.arch}).\n` +
      `npm installs one where there is a build for the platform; here there was none: install Node 24 and run again.`,
  )
  process.exit(1)
}
