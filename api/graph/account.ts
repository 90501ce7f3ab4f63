/** Accounts, their keys, and who asks. */
import { createApiKey, revokeApiKey, type NewKey } from '../accounts/keys.ts'
import type { Caller } from '../accounts/authenticate.ts'
import { Conflict, Forbidden, InvalidInput, NotFound } from '../problem.ts'
import { builder } from './builder.ts'
import { rowId } from './id.ts'

const member = { member: true }

export const AccountType = builder.drizzleNode('accounts', {
  name: 'Account',
  description:
    'A member of the team. Every account sees everything; what it starts bears its name.',
  id: { column: (account) => account.id, description: 'Account:<uuid>.' },
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What the team calls it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    apiKeys: t.relation('apiKeys', {
      description: 'Its keys, newest first, the revoked ones too.',
      query: { orderBy: { createdAt: 'desc', id: 'desc' } },
    }),
  }),
})

export const ApiKeyType = builder.drizzleNode('apiKeys', {
  name: 'ApiKey',
  description: 'A key that opens this API. Only its prefix can be shown.',
  id: { column: (key) => key.id, description: 'ApiKey:<uuid>.' },
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What it is for.' }),
    prefix: t.exposeString('prefix', {
      description: 'The middle part of the clear key, to recognise it by.',
    }),
    account: t.relation('account', { description: 'Whose it is.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it last opened something, to the minute.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was revoked; null while it is good.',
    }),
  }),
})

const Viewer = builder.objectRef<Caller>('Viewer').implement({
  description: 'Who asks.',
  authScopes: member,
  fields: (t) => ({
    account: t.drizzleField({
      type: AccountType,
      description: 'The account.',
      resolve: async (query, { accountId }, _args, { db }) =>
        (await db.query.accounts.findFirst(query({ where: { id: accountId } })))!,
    }),
    apiKey: t.drizzleField({
      type: ApiKeyType,
      description: 'The key, also where a browser exchanged it for a cookie.',
      resolve: async (query, { keyId }, _args, { db }) =>
        (await db.query.apiKeys.findFirst(query({ where: { id: keyId } })))!,
    }),
  }),
})

builder.queryFields((t) => ({
  viewer: t.withAuth(member).field({
    type: Viewer,
    description: 'Who asks.',
    resolve: (_root, _args, { caller }) => caller,
  }),
  accounts: t.drizzleField({
    type: [AccountType],
    authScopes: member,
    description: 'The team, oldest first.',
    resolve: (query, _root, _args, { db }) =>
      db.query.accounts.findMany(query({ orderBy: { createdAt: 'asc', id: 'asc' } })),
  }),
}))

const CreateApiKeyInput = builder.inputType('CreateApiKeyInput', {
  description: 'What the new key is for, and whose it is.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'What it is for: "laptop", "nightly gate".' }),
    account: t.string({
      description: "The name of a new teammate's account; your own account unless told.",
    }),
  }),
})

const CreatedApiKey = builder.objectRef<NewKey>('CreatedApiKey').implement({
  description: 'A new key, with the only sight of it there will ever be.',
  authScopes: member,
  fields: (t) => ({
    clear: t.exposeString('clear', {
      description: 'The key itself: keep it now, it cannot be shown again.',
    }),
    apiKey: t.drizzleField({
      type: ApiKeyType,
      description: 'What is remembered of it.',
      resolve: async (query, { key }, _args, { db }) =>
        (await db.query.apiKeys.findFirst(query({ where: { id: key.id } })))!,
    }),
  }),
})

builder.mutationFields((t) => ({
  createApiKey: t.withAuth(member).field({
    type: CreatedApiKey,
    description: 'Makes a key for your own account, or the first key of a new teammate.',
    args: {
      input: t.arg({ type: CreateApiKeyInput, required: true, description: 'The key to make.' }),
    },
    errors: {
      types: [InvalidInput, Forbidden],
      union: { name: 'CreateApiKeyResult', description: 'What createApiKey answers.' },
    },
    resolve: (_root, { input }, ctx) => createApiKey(ctx, ctx.caller, input),
  }),
  revokeApiKey: t.withAuth(member).drizzleField({
    type: ApiKeyType,
    description: 'Ends a key and every browser session made with it, at once.',
    args: { id: t.arg.id({ required: true, description: "The key's id." }) },
    errors: {
      types: [NotFound, Conflict],
      union: { name: 'RevokeApiKeyResult', description: 'What revokeApiKey answers.' },
    },
    resolve: async (query, _root, { id }, ctx) => {
      const key = await revokeApiKey(ctx, ctx.caller, rowId('ApiKey', id))
      return (await ctx.db.query.apiKeys.findFirst(query({ where: { id: key.id } })))!
    },
  }),
}))
