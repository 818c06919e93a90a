'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Hub } = require('./hub');
const mqtt = require('mqtt'); // what the SDK itself connects with; its ModuleClient takes no certificates
const { Registry, Client, Mqtt, MqttWs, refused, notAuthorized } = require('./sdk');

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'twinhub-x509-'));
const file = (name) => path.join(dir, name);
const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function makeCa(name) {
  openssl('req', '-x509', ...ec, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '2', '-subj', `/CN=${name}`);
}

/** A key and certificate with this common name, signed by `ca` or by itself. */
function makeLeaf(name, cn, ca) {
  if (!ca) {
    openssl('req', '-x509', ...ec, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '2', '-subj', `/CN=${cn}`);
  } else {
    openssl('req', ...ec, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${cn.replace('/', '\\/')}`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-out', `${name}.pem`, '-days', '2');
  }
  const cert = fs.readFileSync(file(`${name}.pem`), 'utf8');
  const der = new crypto.X509Certificate(cert).raw;
  return { cert, key: fs.readFileSync(file(`${name}.key`), 'utf8'),
    sha1: crypto.createHash('sha1').update(der).digest('hex').toUpperCase(),
    sha256: crypto.createHash('sha256').update(der).digest('hex') };
}

let hub, registry;
before(async () => {
  makeCa('fleet-ca');
  makeCa('other-ca');
  hub = await new Hub('127.0.0.45', ['--device-ca', file('fleet-ca.pem')]).start();
  registry = Registry.fromConnectionString(hub.connectionString);
});
after(async () => {
  assert.strictEqual(await hub.remove(), 0);
  fs.rmSync(dir, { recursive: true, force: true });
});

async function connect(identity, leaf, transport) {
  const client = Client.fromConnectionString(`HostName=${hub.address};DeviceId=${identity.deviceId};x509=true`, transport);
  client.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 });
  await client.setOptions({ cert: leaf.cert, key: leaf.key });
  await client.open();
  return client;
}

for (const transport of [Mqtt, MqttWs]) {
  test(`${transport.name}: a device is known by the thumbprint of its certificate`, async () => {
    const id = `thumb-${transport.name}`;
    const first = makeLeaf(`${id}-1`, id), second = makeLeaf(`${id}-2`, id), wrong = makeLeaf(`${id}-3`, id);
    let device = (await registry.create({ deviceId: id, authentication: {
      type: 'selfSigned', x509Thumbprint: { primaryThumbprint: first.sha1, secondaryThumbprint: second.sha256 } } })).responseBody;
    for (const leaf of [first, second]) {
      const client = await connect(device, leaf, transport);
      assert.strictEqual((await client.getTwin()).properties.desired.$version, 1);
      await client.close();
    }
    await notAuthorized(connect(device, wrong, transport));
    const held = await connect(device, first, transport);
    const lost = new Promise((resolve) => held.on('disconnect', resolve));
    device = (await registry.update({ ...device, authentication: { type: 'selfSigned',
      x509Thumbprint: { primaryThumbprint: wrong.sha1, secondaryThumbprint: second.sha256 } } })).responseBody;
    await lost;
    await notAuthorized(connect(device, first, transport));
    await (await connect(device, wrong, transport)).close();
  });

  test(`${transport.name}: a device is known by a CA of the hub and its common name`, async () => {
    const id = `ca-${transport.name}`;
    const device = (await registry.create({ deviceId: id, authentication: { type: 'certificateAuthority' } })).responseBody;
    await (await connect(device, makeLeaf(`${id}-good`, id, 'fleet-ca'), transport)).close();
    await notAuthorized(connect(device, makeLeaf(`${id}-name`, `${id}x`, 'fleet-ca'), transport));
    await notAuthorized(connect(device, makeLeaf(`${id}-ca`, id, 'other-ca'), transport));
    await notAuthorized(connect(device, makeLeaf(`${id}-self`, id), transport));
  });
}

test('a module is known by its own certificate, not by its device\'s', async () => {
  const device = makeLeaf('edge', 'edge'), own = makeLeaf('edge-m', 'edge/m', 'fleet-ca');
  await registry.create({ deviceId: 'edge', authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: device.sha1 } } });
  const module = (await registry.addModule({ deviceId: 'edge', moduleId: 'm', authentication: { type: 'certificateAuthority' } })).responseBody;
  const open = (leaf) => new Promise((resolve, reject) => {
    const client = mqtt.connect(`mqtts://${hub.address}:8883`, { ca: hub.ca, cert: leaf.cert, key: leaf.key,
      protocolVersion: 4, clean: false, reconnectPeriod: 0, clientId: `${module.deviceId}/${module.moduleId}`,
      username: `${hub.address}/edge/m/?api-version=2021-04-12` });
    client.on('connect', () => client.end(false, resolve));
    client.on('error', reject);
  });
  await notAuthorized(open(device));
  await open(own);
});

test('a certificate device refuses SAS tokens, and bad thumbprints are refused', async () => {
  const id = 'no-sas';
  const device = (await registry.create({ deviceId: id, authentication: { type: 'certificateAuthority' } })).responseBody;
  const key = crypto.randomBytes(32).toString('base64');
  const client = Client.fromConnectionString(hub.deviceString(device, key), Mqtt);
  client.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 });
  await notAuthorized(client.open());
  await refused(registry.create({ deviceId: 'bad', authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: 'AB:CD' } } }), 400);
});
