// A started twinhub for one test file: own data directory, own loopback address, standard ports.
//
// The SDKs take neither port nor CA from a connection string everywhere, so each hub listens on
// 8883 and 443 of an address of its own (127.0.0.0/8), and the CA goes to Node's TLS before the
// SDKs are loaded.
'use strict';
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const tls = require('node:tls');
const { Agent } = require('node:https');

const program = process.env.TWINHUB || path.join(__dirname, '../../build/dev/twinhub');

class Hub {
  constructor(address, args) {
    this.address = address;
    this.args = args || [];
    this.data = fs.mkdtempSync(path.join(os.tmpdir(), 'twinhub-'));
    this.log = '';
  }

  /** Starts the hub and waits until it says how to reach it. */
  async start(extra) {
    this.child = spawn(program, ['serve', '--data', this.data, '--bind', this.address, '--host', this.address,
      '--shards', '2', '--log-level', 'debug', ...this.args, ...(extra || [])], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = new Promise((resolve) => this.child.on('exit', (code, signal) => resolve({ code, signal })));
    this.child.stderr.on('data', (d) => { this.log += d; });
    await new Promise((resolve, reject) => {
      this.out = '';
      this.child.stdout.on('data', (d) => {
        this.out += d;
        if (this.out.includes('Next, in another terminal')) resolve();
      });
      this.child.on('exit', (code) => reject(new Error(`twinhub ended with ${code}: ${this.out}${this.log}`)));
    });
    this.connectionString = fs.readFileSync(path.join(this.data, 'connection-string'), 'utf8').trim();
    this.ca = fs.readFileSync(path.join(this.data, 'ca.pem'), 'utf8');
    trust(this.ca);
    return this;
  }

  /** SIGTERM, and the exit code: 0 after a graceful stop. */
  async stop() {
    if (this.child.exitCode === null) this.child.kill('SIGTERM');
    const { code, signal } = await this.ended;
    return code === null ? signal : code;
  }

  async remove() {
    const code = await this.stop();
    fs.rmSync(this.data, { recursive: true, force: true });
    return code;
  }

  /** A device's connection string from its identity, as the registry answered it. */
  deviceString(identity, key) {
    const module = identity.moduleId ? `;ModuleId=${identity.moduleId}` : '';
    return `HostName=${this.address};DeviceId=${identity.deviceId}${module};SharedAccessKey=${
      key || identity.authentication.symmetricKey.primaryKey}`;
  }
}

/** Makes Node trust this CA in every TLS connection, as NODE_EXTRA_CA_CERTS would. */
const trusted = [];
const original = tls.createSecureContext;
function trust(ca) {
  trusted.push(ca);
}
tls.createSecureContext = (options) => {
  const context = original(options);
  for (const ca of trusted) context.context.addCACert(ca);
  return context;
};

module.exports = { Hub, Agent };
