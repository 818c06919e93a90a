// The two worked scenarios of the specification, as far as twins carry them, told step by step.
// `make demo` runs it; demo_test.js runs it as a test. Each step checks what it says.
'use strict';
const assert = require('node:assert');
const https = require('node:https');
const { Hub } = require('./hub');
const { Registry, SharedAccessSignature, Peer, settle } = require('./sdk');

const say = (text) => console.log(text);
const title = (text) => say(`\n${text}\n${'-'.repeat(text.length)}`);
let number = 0;
const step = (text) => say(`\n${String(++number).padStart(2)}. ${text}`);
const show = (label, value) => say(`      ${label.padEnd(22)} ${JSON.stringify(value)}`);

/** C, Dv, Rv and version of a twin, which every write moves by known rules. */
function counters(twin) {
  const etag = Number(Buffer.from(twin.etag, 'base64').readBigUInt64BE());
  return { etag, desired: twin.properties.desired.$version, reported: twin.properties.reported.$version, version: twin.version };
}

async function soil(hub, registry) {
  title('A. Soil sensors: one device, its interval and its firmware');

  step('The operator registers the sensor soil-0042 and tags it. Tags are for the back end only.');
  const device = (await registry.create({ deviceId: 'soil-0042' })).responseBody;
  let twin = (await registry.getTwin('soil-0042')).responseBody;
  assert.deepStrictEqual(counters(twin), { etag: 1, desired: 1, reported: 1, version: 2 });
  twin = (await registry.updateTwin('soil-0042', { tags: { kind: 'soil', site: 'north', field: 'B7', ring: 0 } }, '*')).responseBody;
  assert.deepStrictEqual(counters(twin), { etag: 2, desired: 1, reported: 1, version: 3 });
  assert.strictEqual(twin.etag, 'AAAAAAAAAAI=');
  show('tags', twin.tags);

  step('The sensor starts: it connects, reads its twin (nothing desired yet) and reports what it is.');
  let sensor = await Peer.open(hub, device);
  show('the sensor reads', { desired: sensor.twin.properties.desired, reported: { $version: 1 } });
  await sensor.report({
    telemetry: { intervalSec: 600, status: 'applied', desiredVersion: 1 },
    firmware: { current: '1.2.0', pending: '', state: 'current', detail: '' }, soil: { dry: false },
  });
  twin = (await registry.getTwin('soil-0042')).responseBody;
  assert.deepStrictEqual(counters(twin), { etag: 2, desired: 1, reported: 2, version: 4 });
  show('the service reads', { telemetry: twin.properties.reported.telemetry, connectionState: twin.connectionState });

  step('The operator wants a reading every 300 seconds. Only what changed goes to the sensor.');
  await registry.updateTwin('soil-0042', { properties: { desired: { telemetry: { intervalSec: 300 } } } }, '*');
  const push = await sensor.patch();
  assert.deepStrictEqual(push, { telemetry: { intervalSec: 300 }, $version: 2 });
  show('the sensor hears', push);
  await sensor.report({ telemetry: { intervalSec: 300, desiredVersion: 2 } });
  twin = (await registry.getTwin('soil-0042')).responseBody;
  assert.deepStrictEqual(counters(twin), { etag: 3, desired: 2, reported: 3, version: 6 });
  assert.strictEqual(twin.properties.desired.$metadata.telemetry.intervalSec.$lastUpdatedVersion, 2);
  show('confirmed', { reported: twin.properties.reported.telemetry, counters: counters(twin) });

  step('Two operators edit at once: the second one\'s etag is stale, and nothing is overwritten.');
  const stale = twin.etag;
  await registry.updateTwin('soil-0042', { tags: { ring: 1 } }, stale);
  const error = await registry.updateTwin('soil-0042', { tags: { ring: 9 } }, stale).then(() => null, (e) => e);
  assert.strictEqual(error.response.statusCode, 412);
  show('refused with', { status: 412, code: error.response.headers['iothub-errorcode'] });

  step('The sensor goes to sleep. Firmware 1.3.0 is set meanwhile: nothing is queued for it.');
  await sensor.close();
  await settle(200);
  assert.strictEqual((await registry.getTwin('soil-0042')).responseBody.connectionState, 'Disconnected');
  await registry.updateTwin('soil-0042', { properties: { desired: { firmware: { version: '1.3.0', uri: 'https://files.example/soil-1.3.0.bin' } } } }, '*');

  step('It wakes, reads its twin and sees what it missed; then it reports each step of the update.');
  sensor = await Peer.open(hub, device);
  assert.strictEqual(sensor.twin.properties.desired.firmware.version, '1.3.0');
  show('desired', JSON.parse(JSON.stringify(sensor.twin.properties.desired)));
  for (const patch of [{ pending: '1.3.0', state: 'downloading' }, { state: 'verifying' }, { state: 'waitingReboot' },
    { current: '1.3.0', pending: '', state: 'current' }]) {
    await sensor.report({ firmware: patch });
    show('reported', patch);
  }
  twin = (await registry.getTwin('soil-0042')).responseBody;
  assert.strictEqual(twin.properties.reported.firmware.current, '1.3.0');

  step('The operator replaces the whole desired section: what vanished reaches the sensor as null.');
  await new Promise((resolve, reject) =>
    registry._restApiClient.executeApiCall('PUT', '/twins/soil-0042?api-version=2021-04-12',
      { 'Content-Type': 'application/json; charset=utf-8' },
      { tags: twin.tags, properties: { desired: { telemetry: { intervalSec: 240 } } } }, (e) => (e ? reject(e) : resolve())));
  const replaced = await sensor.patch();
  assert.strictEqual(replaced.firmware, null);
  show('the sensor hears', replaced);
  await sensor.close();
}

async function press(hub, registry) {
  title('B. A factory edge device with three modules');

  step('The operator registers the edge device press-line-1; the hub makes its two system modules.');
  const device = (await registry.create({ deviceId: 'press-line-1', capabilities: { iotEdge: true } })).responseBody;
  assert.match(device.deviceScope, /^ms-azure-iot-edge:\/\/press-line-1-\d{18}$/);
  await registry.updateTwin('press-line-1', { tags: { plant: 'graz', line: 'press-1' } }, '*');
  const list = (await registry.getModulesOnDevice('press-line-1')).responseBody;
  show('modules', list.map((m) => [m.moduleId, m.managedBy, m.authentication.type]));

  step('The edge runtime creates its modules with the device\'s own key, as its daemon does.');
  const modules = {};
  for (const name of ['ingest', 'inference', 'alerts']) {
    modules[name] = await asDevice(hub, device, name);
    show(name, { generationId: modules[name].generationId, auth: modules[name].authentication.type });
  }
  assert.strictEqual((await registry.getModulesOnDevice('press-line-1')).responseBody.length, 5);

  step('Each module is configured on its own twin.');
  const desired = {
    ingest: { pollMs: 200, channels: ['t1', 'p1'] },
    inference: { model: { name: 'press', version: '3' }, threshold: 0.8 },
    alerts: { rules: { minScore: 0.9, holdSec: 30 } },
  };
  for (const [name, value] of Object.entries(desired)) {
    const twin = (await registry.updateModuleTwin('press-line-1', name, { properties: { desired: value } }, '*')).responseBody;
    assert.deepStrictEqual(counters(twin), { etag: 2, desired: 2, reported: 1, version: 3 });
    show(name, twin.properties.desired.$version);
  }

  step('The three programs start; each reads its own twin, and only that.');
  const peers = {};
  for (const name of Object.keys(desired)) {
    peers[name] = await Peer.open(hub, modules[name]);
    const read = JSON.parse(JSON.stringify(peers[name].twin.properties.desired));
    assert.deepStrictEqual(read, { ...desired[name], $version: 2 });
    show(name, read);
  }

  step('Only the alert rules change. The other two and the device hear nothing, their twins stay.');
  const before = await documents(registry);
  await registry.updateModuleTwin('press-line-1', 'alerts', { properties: { desired: { rules: { minScore: 0.95, holdSec: 60 } } } }, '*');
  const push = await peers.alerts.patch();
  assert.deepStrictEqual(push, { rules: { minScore: 0.95, holdSec: 60 }, $version: 3 });
  show('alerts hears', push);
  await settle(200);
  assert.deepStrictEqual([peers.ingest.patches, peers.inference.patches], [[], []]);
  const after = await documents(registry);
  for (const name of ['device', 'ingest', 'inference']) assert.deepStrictEqual(after[name], before[name]);
  show('unchanged', ['press-line-1', 'ingest', 'inference']);

  step('The model of inference is updated; the module reports when it is loaded.');
  await registry.updateModuleTwin('press-line-1', 'inference', { properties: { desired: { model: { version: '4' } } } }, '*');
  const model = await peers.inference.patch();
  assert.deepStrictEqual(model, { model: { version: '4' }, $version: 3 });
  show('inference hears', model);
  await peers.inference.report({ model: { version: '4' }, threshold: 0.8, ackVersion: 3 });
  const twin = (await registry.getModuleTwin('press-line-1', 'inference')).responseBody;
  assert.strictEqual(twin.properties.reported.ackVersion, 3);
  show('confirmed', { reported: twin.properties.reported.model, desired: twin.properties.desired.model });

  step('The line is taken out of service: disabling the device ends its modules\' connections.');
  const identity = (await registry.get('press-line-1')).responseBody;
  const lost = Promise.all(Object.values(peers).map((p) => p.lost));
  await registry.update({ ...identity, status: 'disabled', statusReason: 'maintenance' });
  await lost;
  show('disconnected', Object.keys(peers));
}

async function documents(registry) {
  const of = (r) => { const t = r.responseBody; return { etag: t.etag, version: t.version, tags: t.tags, properties: t.properties }; };
  const result = { device: of(await registry.getTwin('press-line-1')) };
  for (const name of ['ingest', 'inference', 'alerts']) result[name] = of(await registry.getModuleTwin('press-line-1', name));
  return result;
}

/** PUT /devices/{d}/modules/{m} with a token made from the device's key, as the edge daemon sends it. */
function asDevice(hub, device, moduleId) {
  const token = SharedAccessSignature.create(encodeURIComponent(`${hub.address}/devices/${device.deviceId}`), null,
    device.authentication.symmetricKey.primaryKey, Math.floor(Date.now() / 1000) + 600).toString();
  const body = JSON.stringify({ moduleId, deviceId: device.deviceId });
  return new Promise((resolve, reject) => {
    const request = https.request({ host: hub.address, method: 'PUT', ca: hub.ca,
      path: `/devices/${device.deviceId}/modules/${moduleId}?api-version=2017-11-08-preview`,
      headers: { authorization: token, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } },
    (response) => {
      let text = '';
      response.on('data', (d) => { text += d; });
      response.on('end', () => (response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(`${response.statusCode} ${text}`))));
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function main() {
  const hub = await new Hub(process.env.DEMO_ADDRESS || '127.0.0.44').start();
  say(`twinhub runs at ${hub.address}, ports 8883 and 443, on an empty data directory.`);
  const registry = Registry.fromConnectionString(hub.connectionString);
  try {
    await soil(hub, registry);
    await press(hub, registry);
    say('\nBoth walks are done; every step was checked.');
  } finally {
    const code = await hub.remove();
    assert.strictEqual(code, 0);
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
