'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const { Hub } = require('./hub');
const { Registry, SharedAccessSignature, Client, Mqtt, MqttWs, Peer, settle, refused, notAuthorized } = require('./sdk');

let hub, registry;
before(async () => {
  hub = await new Hub('127.0.0.43', ['--token-grace', '0']).start();
  registry = Registry.fromConnectionString(hub.connectionString);
});
after(async () => assert.strictEqual(await hub.remove(), 0));

const create = async (deviceId) => (await registry.create({ deviceId })).responseBody;
const key = () => crypto.randomBytes(32).toString('base64');

test('a stale etag is refused with 412 PreconditionFailed and changes nothing', async () => {
  await create('etag');
  const twin = (await registry.getTwin('etag')).responseBody;
  await registry.updateTwin('etag', { tags: { n: 1 } }, twin.etag);
  const error = await refused(registry.updateTwin('etag', { tags: { n: 2 } }, twin.etag), 412);
  assert.match(error.responseBody, /^{"Message":"ErrorCode:PreconditionFailed;/);
  assert.strictEqual(error.response.headers['iothub-errorcode'], 'PreconditionFailed');
  assert.deepStrictEqual((await registry.getTwin('etag')).responseBody.tags, { n: 1 });
});

test('an unknown device is 404, a second creation 409', async () => {
  assert.strictEqual((await refused(registry.getTwin('nobody'), 404)).name, 'DeviceNotFoundError');
  assert.strictEqual((await refused(registry.get('nobody'), 404)).name, 'DeviceNotFoundError');
  await refused(registry.getModuleTwin('nobody', 'm'), 404);
  await create('twice');
  assert.strictEqual((await refused(registry.create({ deviceId: 'twice' }), 409)).name, 'DeviceAlreadyExistsError');
});

test('the service with a wrong key, an expired token or a policy without the right gets 401', async () => {
  const wrong = Registry.fromConnectionString(hub.connectionString.replace(/SharedAccessKey=.*/, `SharedAccessKey=${key()}`));
  assert.strictEqual((await refused(wrong.getTwin('etag'), 401)).name, 'UnauthorizedError');
  const owner = hub.connectionString.match(/SharedAccessKey=(.*)$/)[1];
  const expired = SharedAccessSignature.create(hub.address, 'iothubowner', owner, Math.floor(Date.now() / 1000) - 400);
  await refused(Registry.fromSharedAccessSignature(expired.toString()).getTwin('etag'), 401);
  const elsewhere = SharedAccessSignature.create('other.example.test', 'iothubowner', owner, Math.floor(Date.now() / 1000) + 400);
  const call = await fetchStatus(elsewhere.toString());
  assert.strictEqual(call, 401);
});

const https = require('node:https');
function fetchStatus(authorization, headers) {
  return new Promise((resolve, reject) => {
    https.get({ host: hub.address, path: '/twins/etag?api-version=2021-04-12', ca: hub.ca, checkServerIdentity: () => undefined,
      headers: { authorization, ...headers } }, (r) => { r.resume(); resolve(r.statusCode); }).on('error', reject);
  });
}

test('a host that is not this hub is 404 IotHubNotFound', async () => {
  assert.strictEqual(await fetchStatus('x', { host: 'other.example.test' }), 404);
});

for (const transport of [Mqtt, MqttWs]) {
  test(`${transport.name}: wrong key, expired token, wrong host, disabled and unknown devices are not authorized`, async () => {
    const id = `refused-${transport.name}`;
    const device = await create(id);
    const connect = (text) => {
      const client = Client.fromConnectionString(text, transport);
      client.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 });
      return client.open();
    };
    await notAuthorized(connect(hub.deviceString(device, key())));
    await notAuthorized(connect(hub.deviceString({ ...device, deviceId: 'unknown' })));
    await notAuthorized(connect(`HostName=other.example.test;GatewayHostName=${hub.address};DeviceId=${id};SharedAccessKey=${device.authentication.symmetricKey.primaryKey}`));
    const resource = `${hub.address}/devices/${id}`;
    const token = (seconds) => SharedAccessSignature.create(encodeURIComponent(resource), null,
      device.authentication.symmetricKey.primaryKey, Math.floor(Date.now() / 1000) + seconds).toString().replace('&skn=null', '').replace(/&skn=$/, '');
    const withToken = (text) => {
      const client = Client.fromSharedAccessSignature(text, transport);
      client.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 });
      return client;
    };
    await notAuthorized(withToken(token(-301)).open());
    const good = withToken(token(3600));
    await good.open();
    await good.close();
    await registry.update({ ...device, status: 'disabled', statusReason: 'test' });
    await notAuthorized(connect(hub.deviceString(device)));
  });

  test(`${transport.name}: a second connection takes over from the first`, async () => {
    const device = await create(`takeover-${transport.name}`);
    const first = await Peer.open(hub, device, transport);
    const second = await Peer.open(hub, device, transport);
    await first.lost;
    assert.strictEqual((await registry.getTwin(device.deviceId)).responseBody.connectionState, 'Connected');
    await second.report({ still: 'here' });
    await second.close();
  });

  test(`${transport.name}: disabling, deleting and re-keying end the connection, rotating the other key does not`, async () => {
    const id = `rotate-${transport.name}`;
    let device = await create(id);
    const keys = device.authentication.symmetricKey;
    const peer = await Peer.open(hub, device, transport);
    const rotated = { ...device, authentication: { type: 'sas', symmetricKey: { primaryKey: keys.primaryKey, secondaryKey: key() } } };
    device = (await registry.update(rotated)).responseBody;
    await peer.report({ after: 'secondary rotation' });
    const swapped = { ...device, authentication: { type: 'sas', symmetricKey: { primaryKey: key(), secondaryKey: keys.primaryKey } } };
    device = (await registry.update(swapped)).responseBody;
    await peer.report({ after: 'swap' }); // its key is still there, as the secondary
    const started = Date.now();
    device = (await registry.update({ ...device, authentication: { type: 'sas', symmetricKey: { primaryKey: key(), secondaryKey: key() } } })).responseBody;
    await peer.lost;
    assert.ok(Date.now() - started < 5000);
    await notAuthorized(Peer.open(hub, device, transport, keys.primaryKey));
    const again = await Peer.open(hub, device, transport);
    device = (await registry.update({ ...device, status: 'disabled' })).responseBody;
    await again.lost;
    device = (await registry.update({ ...device, status: 'enabled' })).responseBody;
    const last = await Peer.open(hub, device, transport);
    await registry.delete(id);
    await last.lost;
    await notAuthorized(Peer.open(hub, device, transport));
  });
}

test('a connection ends when its token does', async () => {
  const device = await create('expires');
  const token = SharedAccessSignature.create(encodeURIComponent(`${hub.address}/devices/expires`), null,
    device.authentication.symmetricKey.primaryKey, Math.floor(Date.now() / 1000) + 2).toString();
  const client = Client.fromSharedAccessSignature(token, Mqtt);
  client.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 });
  const lost = new Promise((resolve) => client.on('disconnect', resolve));
  const started = Date.now();
  await client.open();
  await lost;
  assert.ok(Date.now() - started < 8000, 'within five seconds of its expiry (grace 0)');
});

test('bad reported patches are refused with their reason, and the connection stays', async () => {
  const device = await create('bad-reports');
  const peer = await Peer.open(hub, device);
  await assert.rejects(peer.report({ 'a.b': 1 }));
  await assert.rejects(peer.report({ s: 'x'.repeat(4097) }), /4096/);
  await assert.rejects(peer.report({ list: [null] }), /null/);
  const big = {};
  for (let i = 0; i < 9; i++) big[`k${i}`] = 'x'.repeat(4096);
  await assert.rejects(peer.report(big), /32768/);
  assert.strictEqual((await registry.getTwin('bad-reports')).responseBody.properties.reported.$version, 1);
  await peer.report({ good: true });
  await peer.close();
});

test('bulk: a hundred at once, errors row by row', async () => {
  const devices = Array.from({ length: 100 }, (_, i) => ({ deviceId: `bulk-${i}` }));
  const added = (await registry.addDevices(devices)).responseBody;
  assert.deepStrictEqual(added, { isSuccessful: true, errors: [], warnings: [] });
  assert.strictEqual((await registry.list()).responseBody.filter((d) => d.deviceId.startsWith('bulk-')).length, 100);
  await refused(registry.addDevices([{ deviceId: 'bulk-1' }, { deviceId: 'bulk-new' }]), 400);
  assert.strictEqual((await registry.get('bulk-new')).responseBody.deviceId, 'bulk-new');
  await registry.removeDevices(devices, true);
  const stats = (await registry.getRegistryStatistics()).responseBody;
  assert.strictEqual((await registry.list()).responseBody.length, stats.totalDeviceCount);
});
