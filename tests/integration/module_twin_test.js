'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Hub } = require('./hub');
const { Registry, Mqtt, MqttWs, Peer, settle } = require('./sdk');

let hub, registry;
const names = ['ingest', 'inference', 'alerts'];
const modules = {};
let device;

before(async () => {
  hub = await new Hub('127.0.0.42').start();
  registry = Registry.fromConnectionString(hub.connectionString);
  device = (await registry.create({ deviceId: 'press' })).responseBody;
  for (const moduleId of names)
    modules[moduleId] = (await registry.addModule({ deviceId: 'press', moduleId })).responseBody;
});
after(async () => assert.strictEqual(await hub.remove(), 0));

const twinOf = async (m) => (await registry.getModuleTwin('press', m)).responseBody;
const document = (t) => ({ etag: t.etag, version: t.version, tags: t.tags, properties: t.properties });

for (const transport of [Mqtt, MqttWs]) {
  test(`${transport.name}: each of three modules is configured and reports alone`, async () => {
    const peers = { device: await Peer.open(hub, device, transport) };
    for (const m of names) {
      peers[m] = await Peer.open(hub, modules[m], transport);
    }
    for (const m of names) {
      const others = names.filter((n) => n !== m);
      const before = {};
      for (const o of others) before[o] = document(await twinOf(o));
      const deviceBefore = document((await registry.getTwin('press')).responseBody);
      const { $version } = (await twinOf(m)).properties.desired;
      const reportedBefore = (await twinOf(m)).properties.reported.$version;

      await registry.updateModuleTwin('press', m, { tags: { line: 1 }, properties: { desired: { threshold: { max: 0.8 }, only: m } } }, '*');
      assert.deepStrictEqual(await peers[m].patch(), { threshold: { max: 0.8 }, only: m, $version: $version + 1 });
      await peers[m].report({ threshold: { max: 0.8, min: 0 }, state: 'applied' });
      await peers[m].report({ threshold: { min: null } });
      await registry.updateModuleTwin('press', m, { properties: { desired: { threshold: null } } }, '*');
      assert.deepStrictEqual(await peers[m].patch(), { threshold: null, $version: $version + 2 });

      await settle(150);
      for (const o of others) {
        assert.deepStrictEqual(peers[o].patches, [], `${o} heard what was meant for ${m}`);
        assert.deepStrictEqual(document(await twinOf(o)), before[o]);
      }
      assert.deepStrictEqual(peers.device.patches, []);
      assert.deepStrictEqual(document((await registry.getTwin('press')).responseBody), deviceBefore);

      const twin = await twinOf(m);
      assert.strictEqual(twin.moduleId, m);
      assert.strictEqual(twin.connectionState, 'Connected');
      assert.strictEqual(twin.properties.desired.only, m);
      assert.strictEqual(twin.properties.desired.$metadata.only.$lastUpdatedVersion, $version + 1);
      const { reported } = twin.properties;
      assert.deepStrictEqual(reported.threshold, { max: 0.8 });
      assert.strictEqual(reported.state, 'applied');
      assert.strictEqual(reported.$version, reportedBefore + 2);
      const stamp = (node) => new Date(node.$lastUpdated).getTime();
      assert.ok(stamp(reported.$metadata.threshold) >= stamp(reported.$metadata.state));
      assert.strictEqual(reported.$metadata.threshold.min, undefined);
      assert.strictEqual(reported.$metadata.$lastUpdatedVersion, undefined);
      assert.deepStrictEqual(twin.tags, { line: 1 });
      assert.strictEqual(peers[m].twin.tags, undefined);
    }
    for (const p of Object.values(peers)) await p.close();
  });
}

for (const transport of [Mqtt, MqttWs]) {
  test(`${transport.name}: a module that was away reads what it missed and hears what comes after`, async () => {
    const missed = (await registry.updateModuleTwin('press', 'alerts', { properties: { desired: { missed: transport.name } } }, '*')).responseBody;
    const peer = await Peer.open(hub, modules.alerts, transport);
    assert.strictEqual(peer.twin.properties.desired.missed, transport.name);
    assert.strictEqual(peer.twin.properties.desired.only, 'alerts');
    const { $version } = missed.properties.desired;
    assert.strictEqual(peer.twin.properties.desired.$version, $version);
    await registry.updateModuleTwin('press', 'alerts', { properties: { desired: { missed: null } } }, '*');
    assert.deepStrictEqual(await peer.patch(), { missed: null, $version: $version + 1 });
    await peer.close();
    await settle(300);
    assert.strictEqual((await twinOf('alerts')).connectionState, 'Disconnected');
  });

  test(`${transport.name}: a replaced module twin arrives with the nulls`, async () => {
    const peer = await Peer.open(hub, modules.inference, transport);
    const { $version, $metadata, ...old } = (await twinOf('inference')).properties.desired;
    const nulls = Object.fromEntries(Object.keys(old).map((key) => [key, null]));
    await new Promise((resolve, reject) =>
      registry._restApiClient.executeApiCall('PUT', '/twins/press/modules/inference?api-version=2021-04-12',
        { 'Content-Type': 'application/json; charset=utf-8' }, { properties: { desired: { [transport.name]: 'v4' } } },
        (e) => (e ? reject(e) : resolve())));
    assert.deepStrictEqual(await peer.patch(), { ...nulls, [transport.name]: 'v4', $version: $version + 1 });
    await peer.close();
  });
}

test('an edge device has its two system modules, and modules are listed', async () => {
  await registry.create({ deviceId: 'edge', capabilities: { iotEdge: true } });
  const list = (await registry.getModulesOnDevice('edge')).responseBody;
  assert.deepStrictEqual(list.map((m) => m.moduleId).sort(), ['$edgeAgent', '$edgeHub']);
  assert.deepStrictEqual((await registry.getModulesOnDevice('press')).responseBody.map((m) => m.moduleId), [...names].sort());
  await registry.removeModule('press', 'alerts');
  assert.deepStrictEqual((await registry.getModulesOnDevice('press')).responseBody.map((m) => m.moduleId), ['inference', 'ingest']);
});
