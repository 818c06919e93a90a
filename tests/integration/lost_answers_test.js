// Answers that are lost on the way (trials F27): a proxy breaks the connection instead of handing on
// one in ten of the hub's. Whoever has no answer writes again. Afterwards every acknowledged write
// is there, in order, and no version has stood for two things.
'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const { Hub } = require('./hub');
const { Registry, Mqtt, MqttWs, Peer } = require('./sdk');

const through = '127.0.0.49', ports = [8883, 443];
const writes = 40, patience = 2000;
const handshake = 3; // pieces of a TLS handshake, which are no answers
let hub, registry, lost = 0, seed = 27;
const proxies = [];

/** Seeded, so that a run can be had again as nearly as sockets allow (mulberry32). */
function random() {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

function proxy(port) {
  const server = net.createServer((client) => {
    const inner = net.connect(port, hub.address);
    let pieces = 0;
    const end = () => { client.destroy(); inner.destroy(); };
    client.on('data', (d) => inner.write(d));
    inner.on('data', (d) => {
      if (++pieces > handshake && random() < 0.1) { lost++; end(); } else client.write(d);
    });
    for (const s of [client, inner]) s.on('error', end).on('close', end);
  });
  proxies.push(server);
  return new Promise((resolve) => server.listen(port, through, resolve));
}

before(async () => {
  hub = await new Hub('127.0.0.48', ['--host', through]).start();
  for (const port of ports) await proxy(port);
  registry = Registry.fromConnectionString(hub.connectionString);
});
after(async () => {
  for (const server of proxies) server.close();
  assert.strictEqual(await hub.remove(), 0);
});

/** Until it is answered; comes back with the answer and how often it was tried. */
async function insist(attempt) {
  for (let tries = 1; tries <= 50; tries++) {
    try {
      return { answer: await attempt(), tries };
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      if (error.response) throw error; // an answer, and not the one wanted
    }
  }
  throw new Error('no answer to fifty tries');
}

/** What each version of a section stood for, whoever saw it. */
class Seen {
  constructor() { this.versions = new Map(); }
  note(section) {
    const { $version, $metadata, ...content } = JSON.parse(JSON.stringify(section));
    const text = JSON.stringify(Object.entries(content).sort()); // the SDK keeps no order of keys
    assert.strictEqual(this.versions.get($version) || text, text, `version ${$version} stands for two things`);
    this.versions.set($version, text);
    return $version;
  }
}

/** A device behind the proxy that comes back whenever its connection is gone. */
class Device {
  constructor(identity, transport) { Object.assign(this, { identity, transport, seen: new Seen() }); }
  async peer() {
    if (!this.open) {
      const { answer } = await insist(() => within(patience, Peer.open({ deviceString: (i) => text(i) }, this.identity, this.transport)));
      this.open = answer;
      this.seen.note(answer.twin.properties.desired);
      answer.lost.then(() => { if (this.open === answer) this.open = null; });
    }
    return this.open;
  }
  async report(patch) {
    return insist(async () => {
      const peer = await this.peer();
      try {
        await within(patience, Promise.race([peer.report(patch), peer.lost.then(() => { throw new Error('lost'); })]));
      } catch (error) {
        if (this.open === peer) this.open = null;
        peer.close().catch(() => {});
        throw error;
      }
    });
  }
}

const text = (i) => `HostName=${through};DeviceId=${i.deviceId};SharedAccessKey=${i.authentication.symmetricKey.primaryKey}`;
const within = (ms, promise) => {
  let timer;
  return Promise.race([promise, new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error('late')), ms); })])
    .finally(() => clearTimeout(timer));
};

for (const transport of [Mqtt, MqttWs]) {
  test(`${transport.name}: what was acknowledged is there, though answers are lost`, { timeout: 120000 }, async () => {
    const id = `lossy-${transport.name}`;
    const device = new Device((await registry.create({ deviceId: id })).responseBody, transport);
    const service = Registry.fromConnectionString(hub.connectionString.replace(/HostName=[^;]*/, `HostName=${through}`));
    const reported = {}, desired = {}, before = lost;
    let attempts = 0, commands = 0;

    const report = async () => {
      let version = 1;
      for (let n = 1; n <= writes; n++) {
        const patch = { n, [`k${n % 7}`]: n };
        attempts += (await device.report(patch)).tries;
        Object.assign(reported, patch);
        const section = (await registry.getTwin(id)).responseBody.properties.reported;
        assert.ok(section.$version > version, 'an acknowledged write is a new version');
        version = section.$version;
        const { $version, $metadata, ...content } = section;
        assert.deepStrictEqual(content, reported);
      }
    };
    const command = async () => {
      for (let n = 1; n <= writes; n++) {
        const patch = { n, [`d${n % 5}`]: n };
        const { answer, tries } = await insist(() => within(patience, service.updateTwin(id, { properties: { desired: patch } }, '*')));
        commands += tries;
        Object.assign(desired, patch);
        device.seen.note(answer.responseBody.properties.desired);
        const { $version, $metadata, ...content } = answer.responseBody.properties.desired;
        assert.deepStrictEqual(content, desired);
      }
    };
    await Promise.all([report(), command()]);

    const twin = (await registry.getTwin(id)).responseBody.properties;
    assert.ok(twin.reported.$version > writes && twin.reported.$version <= 1 + attempts);
    assert.ok(twin.desired.$version > writes && twin.desired.$version <= 1 + commands);
    device.seen.note(twin.desired);
    const { answer } = await insist(async () => within(patience, (await device.peer()).client.getTwin()));
    assert.deepStrictEqual(JSON.parse(JSON.stringify(answer.properties.desired)), { ...desired, $version: twin.desired.$version });
    if (device.open) await device.open.close();
    assert.ok(lost - before >= writes / 10, `only ${lost - before} answers were lost`);
    assert.ok(attempts + commands > 2 * writes, 'nobody had to try again');
  });
}
