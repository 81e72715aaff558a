// What each host does in the tests of hosts: a client through the door, one with TLS, and failures.
//
// `run` gets the module under test and the ports, and returns what it saw, as an object of texts.
export async function run(guest, { plain, secure, refused }, connect) {
  const seen = {};
  const note = async (name, body) => {
    try {
      seen[name] = String(await body());
    } catch (error) {
      seen[name] = error?.kind ? `${error.kind}: ${error.text}` : `untyped: ${error?.stack ?? error}`;
    }
  };
  await note('get', async () => {
    const client = await guest.door(`redis://127.0.0.1:${plain}`);
    await client.call(['SET', 'smoke', 'x'.repeat(300_000)]);
    const many = Array.from({ length: 200 }, () => client.call(['ECHO', 'y'.repeat(1000)]));
    const lengths = (await Promise.all(many)).map((text) => text.length);
    const { length } = await client.call(['GET', 'smoke']);
    client.close();
    return [length, lengths.every((l) => l === 1000)];
  });
  await note('subscribe', async () => {
    const client = await guest.door(`redis://127.0.0.1:${plain}`);
    const channel = await client.subscribe('smoke');
    while (!(await channel.next()).startsWith('Subscribed'));
    await client.call(['PUBLISH', 'smoke', 'hello']);
    const said = await channel.next();
    client.close();
    return said;
  });
  await note('refused', () => guest.door(`redis://127.0.0.1:${refused}`));
  await note('unknown', () => guest.door('redis://no-such-name.invalid:1'));
  await note('untrusted', () => guest.door(`rediss://localhost:${secure}`));
  // Where the host takes authorities from its caller or its settings.
  if (connect) {
    await note('trusted', async () => {
      const client = await guest.client(connect, `rediss://localhost:${secure}`);
      const said = await client.call(['PING']);
      client.close();
      return said;
    });
  }
  return seen;
}
