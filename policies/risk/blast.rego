# An incident that touches much is a level up.
package firewarden.risk.blast

raise contains {"id": "pods", "steps": 1, "reason": reason} if {
	input.blast_radius.known
	input.blast_radius.pods > data.org.blast.pods_raise
	reason := sprintf("more than %d Pods are concerned", [data.org.blast.pods_raise])
}

raise contains {"id": "volumes", "steps": 1, "reason": "much data is concerned"} if {
	input.blast_radius.known
	input.blast_radius.pvc_bytes > data.org.blast.pvc_bytes_raise
}
