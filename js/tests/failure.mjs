// The error that a call has to fail with.

import assert from "node:assert/strict";
import { entry } from "./servers.mjs";

const { SlotcarError } = await entry("node.js");

/** The typed error of a call; that it succeeds, or fails with another one, fails the test. */
export async function failure(call) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof SlotcarError, `a SlotcarError, not ${error}`);
    return error;
  }
  assert.fail("the call did not fail");
}
