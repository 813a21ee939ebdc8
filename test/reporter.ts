/**
 * The end of a test run: what was not run and why, then one plain line with the figures. Where everything must run
 * (REQUIRE_ALL=1, as in .ci/run), anything that did not is a failure.
 */
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node'

const NO_POSTGRESQL = 'PostgreSQL did not answer (TEST_DATABASE_URL, or postgres@127.0.0.1:5432 without a password)'

export const reporter: Reporter = {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const passed = tests.filter((test) => test.result().state === 'passed').length
    const failed = tests.filter((test) => test.result().state === 'failed').length
    const broken = modules.flatMap(withErrors).length + unhandledErrors.length
    const skips = [...tests.filter(isSkipped).map(reason), ...withoutTwin(tests).map(() => NO_POSTGRESQL)]
    for (const [why, count] of counted(skips)) print(`Skipped ${count}: ${why}`)
    if (skips.length > 0 && process.env['REQUIRE_ALL']) {
      print('REQUIRE_ALL is set, so what was skipped counts as a failure.')
      process.exitCode = 1
    }
    print(`${passed} passed, ${failed + broken} failed, ${skips.length} skipped`)
  },
}

/** Modules and suites that failed outside their tests: on loading, or in a hook. */
function withErrors(module: TestModule): (TestModule | TestSuite)[] {
  return [module, ...module.children.allSuites()].filter((part) => part.errors().length > 0)
}

function isSkipped(test: TestCase): boolean {
  const { state } = test.result()
  return state === 'skipped' || state === 'pending'
}

/**
 * The outermost part that was told to skip says why, in its name; a test that skips itself, in its note. Where the setting
 * up failed, that is the reason.
 */
function reason(test: TestCase): string {
  const { note } = test.result() as { note?: string }
  let name = note ?? test.fullName
  let part: TestCase | TestSuite | TestModule = test
  while (part.type !== 'module') {
    if (part.type === 'suite' && part.options.mode === 'skip') name = part.fullName
    if (part.type === 'suite' && part.errors().length > 0) name = `${part.fullName} (could not be set up)`
    part = part.parent
  }
  return name
}

/** Tests on PGlite in a run that has none on PostgreSQL: without a server, test/kit/stores.ts offers only the one store. */
function withoutTwin(tests: TestCase[]): TestCase[] {
  const isOn = (store: string) => (test: TestCase) => test.fullName.includes(`on ${store}`)
  return tests.some((test) => isOn('PostgreSQL')(test) && !isSkipped(test)) ? [] : tests.filter(isOn('PGlite'))
}

function counted(names: string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
