/** Typed operations for clients and tests: src/client/operations/*.graphql → src/client/generated.ts (npm run generate). */
import type { CodegenConfig } from '@graphql-codegen/cli'

const config: CodegenConfig = {
  // A path: a schema object would be of another copy of graphql.
  schema: 'schema.graphql',
  documents: 'src/client/operations/*.graphql',
  generates: {
    'src/client/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: 'string',
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: { DateTime: 'string', JSON: 'unknown', Rev: 'string' },
      },
    },
  },
  importExtension: '.ts',
}

export default config
