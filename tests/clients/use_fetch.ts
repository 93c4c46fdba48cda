// Uses the types that openapi-typescript makes, with its own small client, against a running service.
import { deepStrictEqual as same, ok } from 'node:assert';
import createClient from 'openapi-fetch';
import type { components, paths } from './schema';

// It accepts no problem details, so errors have our own form only.
const client = createClient<paths, 'application/json'>({ baseUrl: process.argv[2] });

async function main(): Promise<void> {
  const made = await client.POST('/urls', {
    body: { original_url: 'https://my-site.com:8443/A', title: 'from TypeScript' },
  });
  ok(made.data, JSON.stringify(made.error));
  const link: components['schemas']['Url'] = made.data;

  const params = { path: { short_code: link.short_code } };
  const followed = await client.GET('/{short_code}', { params, redirect: 'manual' });
  same(followed.response.status, 302);
  same(followed.response.headers.get('location'), 'https://my-site.com:8443/A');

  const ids: number[] = [];
  for (let page = 1; ; page += 1) {
    const query = { page, per_page: 2, is_active: true, count: true };
    const listed = await client.GET('/urls', { params: { query } });
    ok(listed.data);
    ids.push(...listed.data.map((url) => url.id));
    if (!listed.response.headers.get('link')?.includes('rel="next"')) break;
  }
  ok(ids.includes(link.id) && ids.length >= 3);

  const imported = await client.POST('/users/bulk', {
    body: { file: 'username,email\nts,ts@example.com\n' },
    bodySerializer: ({ file }) => {
      const form = new FormData();
      form.append('file', new Blob([file]), 'users.csv');
      return form;
    },
  });
  same(imported.data?.created, 1);

  const missing = await client.GET('/urls/{url_id}', { params: { path: { url_id: 999999 } } });
  same(missing.error?.message, 'URL 999999 not found');
}

main().then(() => console.log('openapi-fetch: created, followed, listed, imported, refused'));
