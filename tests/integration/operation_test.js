'use strict';
const { test } = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { Hub } = require('./hub');
const { Registry, Client, ModuleClient, Mqtt, Peer, SharedAccessSignature } = require('./sdk');

const program = process.env.TWINHUB || path.join(__dirname, '../../build/dev/twinhub');
const address = '127.0.0.46';

function get(url, options) {
  return new Promise((resolve, reject) => {
    (url.startsWith('https') ? https : http).get(url, options || {}, (r) => {
      let text = '';
      r.on('data', (d) => { text += d; });
      r.on('end', () => resolve({ status: r.statusCode, text, type: r.headers['content-type'] }));
    }).on('error', reject);
  });
}

test('the first minute: what is printed can be pasted into the SDKs', async () => {
  const hub = await new Hub(address).start();
  const registry = Registry.fromConnectionString(hub.out.match(/HostName=.*/)[0]);
  const twinhub = (...args) => {
    const run = spawnSync(program, [...args, '--data', hub.data], { encoding: 'utf8', timeout: 20000 });
    assert.strictEqual(run.status, 0, run.stderr);
    return run.stdout.trim();
  };
  const device = Client.fromConnectionString(twinhub('device', 'create', 'd1'), Mqtt);
  const module = ModuleClient.fromConnectionString(twinhub('module', 'create', 'd1', 'm1'), Mqtt);
  for (const client of [device, module]) {
    await client.open();
    assert.strictEqual((await client.getTwin()).properties.desired.$version, 1);
    await client.close();
  }
  assert.strictEqual((await registry.getModuleTwin('d1', 'm1')).responseBody.deviceId, 'd1');
  const next = hub.out.match(/in another terminal:\n +twinhub (.*)$/m)[1].split(' --')[0].split(' ');
  assert.deepStrictEqual(next, ['device', 'create', 'd1']);
  assert.ok(hub.out.includes(path.join(hub.data, 'ca.pem')));
  assert.ok(twinhub('cert').startsWith(hub.ca.split('-----END')[0])); // an RSA one may follow by now
  const print = new crypto.X509Certificate(hub.ca).fingerprint256;
  assert.ok(hub.out.includes(print), hub.out);
  assert.strictEqual(await hub.remove(), 0);
});

test('health, readiness, metrics and the CA need no credential', async () => {
  const hub = await new Hub(address).start();
  const base = `https://${address}`;
  assert.strictEqual((await get(`${base}/healthz`, { ca: hub.ca })).status, 200);
  assert.deepStrictEqual(JSON.parse((await get(`${base}/readyz`, { ca: hub.ca })).text).durability, 'sync');
  const device = (await Registry.fromConnectionString(hub.connectionString).create({ deviceId: 'm' })).responseBody;
  const peer = await Peer.open(hub, device);
  await peer.report({ a: 1 });
  const metrics = (await get(`${base}/metrics`, { ca: hub.ca })).text;
  assert.match(metrics, /^twinhub_checkpoint_running 0$/m);
  assert.match(metrics, /^twinhub_journal_position_bytes \d+$/m);
  const sum = (name) => [...metrics.matchAll(new RegExp(`^${name}{[^}]*} (\\d+)$`, 'gm'))].reduce((s, m) => s + Number(m[1]), 0);
  assert.strictEqual(sum('twinhub_devices'), 1);
  assert.strictEqual(sum('twinhub_connected_devices'), 1);
  assert.strictEqual(sum('twinhub_twin_reports_total'), 1);
  const ca = await get(`${base}/.well-known/twinhub-ca.pem`, { ca: hub.ca });
  assert.strictEqual(ca.type, 'application/x-pem-file');
  assert.ok(ca.text.startsWith(hub.ca.split('-----END')[0]));
  await peer.close();
  assert.strictEqual(await hub.remove(), 0);
});

test('a setting is a flag, a variable or a line of the file, in this order', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'twinhub-settings-'));
  const config = path.join(dir, 'hub.conf');
  const key = crypto.randomBytes(32).toString('base64');
  fs.writeFileSync(config, `# a comment\ndurability = async\nhttp = 18090 # plain\nowner-key = ${key}\nlimits = azure\npartitions = 4\n`);
  process.env.TWINHUB_LIMITS = 'relaxed';
  try {
    const hub = await new Hub(address, ['--config', config, '--http', '18091', '--shards', '3']).start();
    assert.match(hub.out, /durability async/);
    assert.ok(hub.connectionString.endsWith(`SharedAccessKey=${key}`));
    const ready = await get(`http://${address}:18091/readyz`);
    assert.strictEqual(JSON.parse(ready.text).durability, 'async');
    assert.match((await get(`http://${address}:18091/metrics`)).text, /^twinhub_durability_sync 0$/m);
    assert.deepStrictEqual([...(await get(`http://${address}:18091/metrics`)).text.matchAll(/^twinhub_devices{shard="(\d+)"}/gm)].map((m) => m[1]), ['0', '1', '2']);
    const registry = Registry.fromConnectionString(hub.connectionString);
    await registry.create({ deviceId: 'big' });
    await registry.updateTwin('big', { tags: { big: 'x'.repeat(20000) } }, '*'); // sixteen times 4,096
    assert.strictEqual(await hub.remove(), 0);
  } finally {
    delete process.env.TWINHUB_LIMITS;
    fs.rmSync(dir, { recursive: true, force: true });
  }
});

test('a port that is taken, a directory in use and a wrong setting say what to do', async () => {
  const hub = await new Hub(address).start();
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'twinhub-second-'));
  const serve = (...args) => spawnSync(program, ['serve', ...args], { encoding: 'utf8', timeout: 20000 });
  const taken = serve('--data', data, '--bind', address);
  assert.strictEqual(taken.status, 78);
  assert.match(taken.stderr, /8883.*--mqtts/s);
  const other = serve('--data', data, '--bind', address, '--mqtts', '18883');
  assert.strictEqual(other.status, 78);
  assert.match(other.stderr, /443.*--https/s);
  const used = serve('--data', hub.data, '--bind', '127.0.0.47');
  assert.strictEqual(used.status, 78);
  assert.ok(used.stderr.includes(hub.data), used.stderr);
  for (const [args, text] of [[['--nonsense'], /--nonsense/], [['--limits', 'none'], /azure or relaxed/], [['--mqtts', '70000'], /65535/],
    [['--owner-key'], /needs a value/], [['--config', '/nowhere'], /\/nowhere/]]) {
    const wrong = serve('--data', data, ...args);
    assert.strictEqual(wrong.status, 2, wrong.stderr);
    assert.match(wrong.stderr, text);
  }
  const help = serve('--help');
  assert.strictEqual(help.status, 0);
  assert.match(help.stdout, /Example:/);
  fs.rmSync(data, { recursive: true, force: true });
  assert.strictEqual(await hub.remove(), 0);
});

test('SIGTERM answers what is in flight, and what was acknowledged is there after', async () => {
  const hub = await new Hub(address, ['--http', '18092']).start();
  const registry = Registry.fromConnectionString(hub.connectionString);
  await registry.create({ deviceId: 'stop' });
  const key = hub.connectionString.match(/SharedAccessKey=(.*)$/)[1];
  const token = SharedAccessSignature.create(address, 'iothubowner', key, Math.floor(Date.now() / 1000) + 600).toString();
  const acknowledged = [];
  const patch = (n) => new Promise((resolve) => {
    const body = JSON.stringify({ tags: { [`n${n}`]: n } });
    const r = http.request({ host: address, port: 18092, method: 'PATCH', path: '/twins/stop?api-version=2021-04-12',
      headers: { authorization: token, host: address, 'content-length': body.length } }, (answer) => {
      answer.resume();
      answer.on('end', () => { if (answer.statusCode === 200) acknowledged.push(n); resolve(); });
    });
    r.on('error', resolve);
    r.end(body);
  });
  const all = Array.from({ length: 60 }, (_, n) => patch(n));
  await Promise.race(all);
  const started = Date.now();
  assert.strictEqual(await hub.stop(), 0);
  assert.ok(Date.now() - started < 10000);
  await Promise.all(all);
  await hub.start();
  const { tags } = (await Registry.fromConnectionString(hub.connectionString).getTwin('stop')).responseBody;
  for (const n of acknowledged) assert.strictEqual(tags[`n${n}`], n);
  assert.ok(acknowledged.length > 0);
  assert.strictEqual(await hub.remove(), 0);
});

test('a peer that sends nonsense is closed and disturbs nobody', async () => {
  const hub = await new Hub(address, ['--mqtt', '18093']).start();
  const registry = Registry.fromConnectionString(hub.connectionString);
  const peer = await Peer.open(hub, (await registry.create({ deviceId: 'good' })).responseBody);
  const closed = [];
  for (const bytes of ['\x00\x00', '\x10\xff\xff\xff\xff\xff', 'GET / HTTP/1.1\r\n\r\n', '\x30\x05\x00\x03abc', '\x10\x02\x00\x00']) {
    closed.push(new Promise((resolve) => {
      const s = net.connect(18093, address, () => s.write(Buffer.from(bytes, 'latin1')));
      s.on('close', resolve);
      s.on('error', () => {});
      s.resume();
    }));
  }
  await Promise.all(closed);
  await peer.report({ still: true });
  await peer.close();
  assert.strictEqual(await hub.remove(), 0);
});
