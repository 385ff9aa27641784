# Each change is tried first and watched afterwards.
package firewarden.action.care

oblige contains {"id": "try", "kind": "dry_run_first"} if input.call.effect == "write"

oblige contains {"id": "watch", "kind": "verify_after", "within_s": 600, "rollback_on_failure": true} if {
	input.call.effect == "write"
}
