'use strict';
const { test } = require('node:test');
const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const path = require('node:path');

test('the two worked scenarios run to their end and say what happens', () => {
  const run = spawnSync(process.execPath, [path.join(__dirname, 'demo.js')], { encoding: 'utf8', timeout: 60000 });
  assert.strictEqual(run.status, 0, run.stdout + run.stderr);
  assert.match(run.stdout, /the sensor hears +{"telemetry":{"intervalSec":300},"\$version":2}/);
  assert.match(run.stdout, /alerts hears +{"rules":{"minScore":0.95,"holdSec":60},"\$version":3}/);
  assert.match(run.stdout, /every step was checked/);
});
