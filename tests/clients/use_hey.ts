// Uses the client that @hey-api/openapi-ts makes against a running service.
import { deepStrictEqual as same, ok } from 'node:assert';
import { client } from './hey/client.gen';
import { createUrl, followCode, getUrl, importUsers, listUrls } from './hey/sdk.gen';
import type { Url } from './hey/types.gen';

client.setConfig({ baseUrl: process.argv[2] });

async function main(): Promise<void> {
  const body = { original_url: 'https://my-site.com/', title: 'from TypeScript' };
  const link: Url | undefined = (await createUrl({ body })).data;
  ok(link);

  const path = { short_code: link.short_code };
  const followed = await followCode({ path, redirect: 'manual' });
  same(followed.response.status, 302);
  same(followed.response.headers.get('location'), 'https://my-site.com/');

  const ids: number[] = [];
  for (let page = 1; ; page += 1) {
    const listed = await listUrls({ query: { page, per_page: 2, is_active: true } });
    ok(listed.data);
    ids.push(...listed.data.map((url) => url.id));
    if (!listed.response.headers.get('link')?.includes('rel="next"')) break;
  }
  ok(ids.includes(link.id) && ids.length >= 3);

  const file = new Blob(['username,email\nhey,hey@example.com\nbad,bad\n']);
  const imported = await importUsers({ body: { file } });
  same([imported.data?.created, imported.data?.errors[0]?.line], [1, 3]);

  const missing = await getUrl({ path: { url_id: 999999 } });
  same(missing.error?.message, 'URL 999999 not found');
  const refused = await createUrl({ body: { original_url: 'hello' } });
  same(Object.keys(refused.error?.errors ?? {}), ['original_url']);
}

main().then(() => console.log('@hey-api/openapi-ts: created, followed, listed, imported, refused'));
