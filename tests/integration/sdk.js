// The SDKs' calls as promises, and what tests wait for.
'use strict';
require('./hub');
const assert = require('node:assert');
const { Registry, SharedAccessSignature } = require('azure-iothub');
const { Client, ModuleClient } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');

/** A device or module that is connected, with its twin read and every desired patch recorded. */
class Peer {
  static async open(hub, identity, transport, key) {
    const peer = new Peer();
    const Kind = identity.moduleId ? ModuleClient : Client;
    peer.client = Kind.fromConnectionString(hub.deviceString(identity, key), transport || Mqtt);
    peer.client.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 });
    peer.client.on('error', () => {});
    peer.lost = new Promise((resolve) => peer.client.on('disconnect', resolve));
    await peer.client.open();
    peer.twin = await peer.client.getTwin();
    peer.patches = [];
    peer.waiting = [];
    let first = true;
    peer.twin.on('properties.desired', (patch) => {
      if (first) { first = false; return; } // the SDK gives the whole section when a listener is added
      peer.patches.push(JSON.parse(JSON.stringify(patch)));
      peer.waiting.splice(0).forEach((wake) => wake());
    });
    // Adding the listener subscribes in the background; this waits until the hub has granted it.
    await new Promise((resolve, reject) =>
      peer.twin.enableTwinDesiredPropertiesUpdates((e) => (e ? reject(e) : resolve())));
    return peer;
  }

  /** The next desired patch. */
  async patch() {
    const until = Date.now() + 5000;
    while (this.patches.length === 0) {
      const left = until - Date.now();
      assert.ok(left > 0, 'no desired patch came');
      await new Promise((resolve) => { this.waiting.push(resolve); setTimeout(resolve, left); });
    }
    return this.patches.shift();
  }

  report(patch) {
    return new Promise((resolve, reject) =>
      this.twin.properties.reported.update(patch, (e) => (e ? reject(e) : resolve())));
  }

  close() {
    return this.client.close();
  }
}

const settle = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function refused(promise, status) {
  const error = await promise.then(() => null, (e) => e);
  assert.ok(error, 'it was not refused');
  if (status) assert.strictEqual(error.response && error.response.statusCode, status, error.stack);
  return error;
}

/** Asserts that a CONNECT is refused as not authorized (CONNACK 5). */
async function notAuthorized(promise) {
  const error = await promise.then(() => null, (e) => e);
  assert.ok(error, 'the connection was accepted');
  assert.match(`${error.name} ${error.message}`, /Unauthorized|not authorized/i);
}

module.exports = { Registry, SharedAccessSignature, Client, ModuleClient, Mqtt, MqttWs, Peer, settle, refused, notAuthorized };
