/**
 * GraphiQL as one page that loads nothing else: examples in tabs and in a menu, and a bar that says on whose behalf
 * requests go out.
 */
import { readFileSync } from 'node:fs'
import { renderGraphiQL } from '@graphql-yoga/render-graphiql'
import { type DocumentNode, parse } from 'graphql'
import { exampleAreas, type Example } from './graphiql/examples.ts'

/** Somebody to act as: `name` is what examples ask for, `label` what the bar shows. */
export type GraphiqlViewer = { name: string; label: string; token: string }

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#17212e"/><path d="M3 5h10v7H3zl5 4 5-4" fill="none" stroke="#7cc4ff"/></svg>`
/** Stands where the page's options go. */
const SEAM = '"posthouse-options"'

let frame: [head: string, tail: string] | undefined

/**
 * The page, about 9 MB, with everything inlined. Its examples carry the viewer each asks for, or `defaultViewer` if
 * there is none of that name. Without viewers it asks people for a token of their own and keeps it for the session only.
 */
export function graphiqlPage({ viewers, defaultViewer }: { viewers: GraphiqlViewer[]; defaultViewer: string }): string {
  const tabOf = ({ title, viewer, query, variables }: Example) => ({
    title: operationName(parse(query)),
    about: title,
    viewer: viewers.some(({ name }) => name === viewer) ? viewer : defaultViewer,
    query: `# ${title}\n${query}\n`,
    variables: variables === undefined ? '' : JSON.stringify(variables, null, 2),
  })
  const menu = exampleAreas.map(({ name, inTabs, examples }) => ({ name, inTabs, tabs: examples.map(tabOf) }))
  frame ??= buildFrame()
  return frame[0] + jsonForScript({ viewers, defaultViewer, menu }) + frame[1]
}

/** Yoga's own page with our bar above it, cut where the options go. */
function buildFrame(): [string, string] {
  const bar = readFileSync(new URL('./graphiql/bar.html', import.meta.url), 'utf8')
  const edits: [from: string, to: string][] = [
    [
      '<meta charset="utf-8" />',
      '<meta charset="utf-8" />\n<meta name="viewport" content="width=device-width, initial-scale=1" />',
    ],
    ['<div id="root"></div>', `${bar}<div id="root"></div>`],
    // The bar reaches the headers editor through Monaco's own API.
    ['globalAPI: false', 'globalAPI: true'],
    [`{"title":"驿站 Posthouse","favicon":${JSON.stringify(favicon())},"logo":${SEAM}}`, `posthouseGraphiQL(${SEAM})`],
  ]
  let page = renderGraphiQL({ title: '驿站 Posthouse', favicon: favicon(), logo: 'posthouse-options' })
  for (const [from, to] of edits) {
    if (!page.includes(from))
      throw new Error(`@graphql-yoga/render-graphiql gives another page now: no ${from.slice(0, 60)}`)
    page = page.replace(from, () => to)
  }
  const at = page.lastIndexOf(SEAM)
  return [page.slice(0, at), page.slice(at + SEAM.length)]
}

function favicon(): string {
  return `data:image/svg+xml;base64,${Buffer.from(ICON).toString('base64')}`
}

/** JSON that cannot end the script it stands in. */
function jsonForScript(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function operationName(document: DocumentNode): string {
  for (const definition of document.definitions) {
    if (definition.kind === 'OperationDefinition' && definition.name !== undefined) return definition.name.value
  }
  throw new Error('An example without an operation name: its tab would have no title')
}
