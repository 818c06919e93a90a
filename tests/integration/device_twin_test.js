'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Hub } = require('./hub');
const { Registry, Mqtt, MqttWs, Peer, settle } = require('./sdk');

let hub, registry;
before(async () => {
  hub = await new Hub('127.0.0.41').start();
  registry = Registry.fromConnectionString(hub.connectionString);
});
after(async () => assert.strictEqual(await hub.remove(), 0));

const create = async (deviceId) => (await registry.create({ deviceId })).responseBody;
const service = async (deviceId) => (await registry.getTwin(deviceId)).responseBody;

for (const [name, transport] of [['MQTT', Mqtt], ['MQTT over WebSocket', MqttWs]]) {
  const id = `walk-${transport.name}`;

  test(`${name}: a new device reads its empty twin`, async () => {
    const device = await create(id);
    const began = Date.now();
    const peer = await Peer.open(hub, device, transport);
    assert.strictEqual(peer.twin.properties.desired.$version, 1);
    assert.strictEqual(peer.twin.properties.reported.$version, 1);
    const twin = await service(id);
    assert.strictEqual(twin.connectionState, 'Connected');
    const active = new Date(twin.lastActivityTime).getTime();
    assert.ok(began <= active && active <= Date.now());
    await peer.close();
  });

  test(`${name}: a desired patch reaches the device, tags do not`, async () => {
    const device = (await registry.get(id)).responseBody;
    const peer = await Peer.open(hub, device, transport);
    const before = (await service(id)).properties.desired.$version;
    await registry.updateTwin(id, { tags: { site: 'north' } }, '*');
    await registry.updateTwin(id, { tags: { ring: 1 }, properties: { desired: { net: { apn: 'iot', retry: 5 } } } }, '*');
    assert.deepStrictEqual(await peer.patch(), { net: { apn: 'iot', retry: 5 }, $version: before + 1 });
    await settle(200);
    assert.deepStrictEqual(peer.patches, []);
    assert.strictEqual(peer.twin.tags, undefined);
    const twin = await service(id);
    const meta = twin.properties.desired.$metadata;
    assert.strictEqual(meta.net.apn.$lastUpdatedVersion, before + 1);
    assert.strictEqual(meta.net.$lastUpdatedVersion, before + 1);
    assert.strictEqual(meta.$lastUpdatedVersion, before + 1);
    assert.deepStrictEqual(twin.tags, { site: 'north', ring: 1 });
    await peer.close();
  });

  test(`${name}: nested reported properties are read by the service with version and metadata`, async () => {
    const device = (await registry.get(id)).responseBody;
    const peer = await Peer.open(hub, device, transport);
    const before = (await service(id)).properties.reported.$version;
    await peer.report({ firmware: { current: '1.2.0', slots: [1, 2] }, temp: 21.5 });
    await peer.report({ firmware: { state: 'ok' } });
    const { reported } = (await service(id)).properties;
    assert.strictEqual(reported.$version, before + 2);
    assert.deepStrictEqual(reported.firmware, { current: '1.2.0', slots: [1, 2], state: 'ok' });
    const stamp = (node) => new Date(node.$lastUpdated).getTime();
    assert.ok(stamp(reported.$metadata.firmware.state) >= stamp(reported.$metadata.firmware.current));
    assert.strictEqual(reported.$metadata.firmware.$lastUpdated, reported.$metadata.firmware.state.$lastUpdated);
    assert.strictEqual(reported.$metadata.$lastUpdatedVersion, undefined);
    await peer.close();
  });

  test(`${name}: null deletes a key on either side`, async () => {
    const device = (await registry.get(id)).responseBody;
    const peer = await Peer.open(hub, device, transport);
    const { $version } = (await service(id)).properties.desired;
    await registry.updateTwin(id, { properties: { desired: { net: { retry: null } } } }, '*');
    assert.deepStrictEqual(await peer.patch(), { net: { retry: null }, $version: $version + 1 });
    await peer.report({ firmware: { slots: null } });
    const twin = await service(id);
    assert.deepStrictEqual(twin.properties.desired.net, { apn: 'iot' });
    assert.strictEqual(twin.properties.reported.firmware.slots, undefined);
    assert.strictEqual(twin.properties.reported.$metadata.firmware.slots, undefined);
    await peer.close();
  });

  test(`${name}: a replaced twin arrives as a patch with the nulls`, async () => {
    const device = (await registry.get(id)).responseBody;
    const peer = await Peer.open(hub, device, transport);
    const { $version } = (await service(id)).properties.desired;
    await new Promise((resolve, reject) =>
      registry._restApiClient.executeApiCall('PUT', `/twins/${id}?api-version=2021-04-12`,
        { 'Content-Type': 'application/json; charset=utf-8' }, { tags: { a: 1 }, properties: { desired: { mode: 'eco' } } },
        (e) => (e ? reject(e) : resolve())));
    assert.deepStrictEqual(await peer.patch(), { net: null, mode: 'eco', $version: $version + 1 });
    const twin = await service(id);
    assert.deepStrictEqual(twin.tags, { a: 1 });
    assert.strictEqual(twin.properties.reported.firmware.current, '1.2.0');
    await peer.close();
  });

  test(`${name}: a device that was away reads what it missed and hears what comes after`, async () => {
    const device = (await registry.get(id)).responseBody;
    const missed = (await registry.updateTwin(id, { properties: { desired: { mode: 'boost' } } }, '*')).responseBody;
    const peer = await Peer.open(hub, device, transport);
    assert.strictEqual(peer.twin.properties.desired.mode, 'boost');
    assert.strictEqual(peer.twin.properties.desired.$version, missed.properties.desired.$version);
    const { $version } = (await service(id)).properties.desired;
    await registry.updateTwin(id, { properties: { desired: { mode: 'eco' } } }, '*');
    assert.deepStrictEqual(await peer.patch(), { mode: 'eco', $version: $version + 1 });
    await peer.close();
    await settle(300);
    assert.strictEqual((await service(id)).connectionState, 'Disconnected');
  });
}

test('everything is there after a restart of the hub', async () => {
  const device = await create('restart');
  let peer = await Peer.open(hub, device);
  await peer.report({ kept: { deep: true } });
  await registry.updateTwin('restart', { tags: { t: 1 }, properties: { desired: { d: 'x' } } }, '*');
  const twinBefore = await service('restart');
  assert.strictEqual(await hub.stop(), 0);
  await hub.start();
  registry = Registry.fromConnectionString(hub.connectionString);
  const twinAfter = await service('restart');
  assert.strictEqual(twinAfter.connectionState, 'Disconnected');
  for (const key of ['etag', 'version', 'tags', 'properties', 'deviceEtag'])
    assert.deepStrictEqual(twinAfter[key], twinBefore[key]);
  peer = await Peer.open(hub, device);
  assert.strictEqual(peer.twin.properties.reported.kept.deep, true);
  await peer.close();
});
