package firewarden.action.secrets_test

import data.firewarden.action.secrets

ordinary := {"effect": "read", "args": {}, "texts": [], "texts_truncated": false, "targets": [], "argv": []}

call(effect, args) := {"call": object.union(ordinary, {"effect": effect, "args": args, "texts": texts})} if {
	texts := [{"keys": [lower(key)], "value": value, "folded": lower(value)} | some key, value in args]
}

denies(effect, args) := ids if {
	ids := {given.id | some given in secrets.deny} with input as call(effect, args)
}

on_target(effect, kind) := ids if {
	touching := {"call": object.union(ordinary, {"effect": effect, "targets": [{"kind": kind}]})}
	ids := {given.id | some given in secrets.deny} with input as touching
}

spellings := [
	"Secret",
	"secret",
	"secrets",
	"SECRETS",
	" Secret ",
	"\tsecrets\n",
	"secrets.v1",
	"secrets.v1.",
	"Secret.example.com",
	"v1/secrets",
	"secret/db-password",
	"pods,secrets",
	"pods, secret",
]

test_secret_is_denied_however_spelled if {
	missed := {kind | some kind in spellings; denies("read", {"kind": kind}) != {"secret"}}
	missed == set()
}

test_secret_is_denied_as_target if {
	missed := {kind | some kind in spellings; on_target("read", kind) != {"secret"}}
	missed == set()
}

test_secret_is_denied_for_every_effect if {
	every effect in ["read", "record", "propose", "write", "destroy"] {
		denies(effect, {"kind": "Secret"}) == {"secret"}
	}
}

test_secret_is_denied_deep_in_arguments if {
	deep := {"call": object.union(ordinary, {"texts": [{"keys": ["query", "kinds", "x"], "value": "Secret", "folded": "secret"}]})}
	ids := {given.id | some given in secrets.deny} with input as deep
	ids == {"secret"}
}

test_secret_is_denied_in_a_command if {
	command := {"call": object.union(ordinary, {"argv": ["kubectl", "get", "secrets", "-o", "yaml"]})}
	ids := {given.id | some given in secrets.deny} with input as command
	ids == {"secret"}
}

test_denial_says_where_to_look_instead if {
	given := secrets.deny with input as call("list", {"kind": "Secret"})
	every one in given {
		contains(one.remedy, "env, envFrom and volumes")
	}
	count(given) == 1
}

test_ordinary_kinds_are_left_alone if {
	every kind in ["Pod", "pods", "Deployment", "ConfigMap", "PersistentVolumeClaim", "SealedSecret", "externalsecrets.external-secrets.io", "secretproviderclass"] {
		denies("read", {"kind": kind}) == set()
	}
}

test_a_pod_named_secret_is_a_pod if denies("read", {"kind": "Pod", "name": "secret", "namespace": "secrets"}) == set()

test_a_query_about_secrets_is_a_query if denies("read", {"query": "count(kube_secret_info) by (secret)"}) == set()

test_token_is_denied if {
	denies("read", {"kind": "TokenRequest"}) == {"token"}
	denies("write", {"kind": "serviceaccounts/token"}) == {"token", "identity"}
}

test_path_to_secrets_is_denied if {
	every path in ["/api/v1/namespaces/shop/secrets", "/api/v1/secrets?limit=500", "/api/v1/namespaces/shop/Secrets/db", "/api/v1/namespaces/shop/serviceaccounts/x/token"] {
		denies("read", {"path": path}) == {"path"}
	}
}

test_other_paths_are_left_alone if {
	denies("read", {"path": "/api/v1/namespaces/secrets-demo/pods"}) == set()
}

test_arguments_that_could_not_be_read_are_denied if {
	ids := {given.id | some given in secrets.deny} with input as {"call": object.union(ordinary, {"texts_truncated": true})}
	ids == {"unread"}
}

test_identity_is_not_changed if {
	every kind in ["ServiceAccount", "sa", "Role", "rolebindings", "ClusterRole", "clusterrolebindings.rbac.authorization.k8s.io"] {
		denies("write", {"kind": kind}) == {"identity"}
	}
}

test_identity_is_not_proposed_to_be_changed if on_target("propose", "RoleBinding") == {"identity"}

test_identity_may_be_looked_at if denies("read", {"kind": "RoleBinding"}) == set()

test_admission_is_not_changed if {
	every kind in ["ValidatingWebhookConfiguration", "mutatingwebhookconfigurations", "ValidatingAdmissionPolicy", "apiservices"] {
		denies("destroy", {"kind": kind}) == {"admission"}
	}
}

test_admission_may_be_looked_at if denies("read", {"kind": "ValidatingWebhookConfiguration"}) == set()

test_a_secret_among_further_targets_is_denied if {
	targets := [{"kind": "Deployment", "name": "api"}, {"kind": "Secret", "name": "db", "verb": "use"}]
	ids := {given.id | some given in secrets.deny} with input as {"call": object.union(ordinary, {"effect": "write", "targets": targets})}
	ids == {"secret"}
}

test_a_container_among_further_targets_is_left_alone if {
	targets := [{"kind": "Deployment", "name": "api"}, {"kind": "Container", "name": "api:side", "verb": "run"}]
	ids := {given.id | some given in secrets.deny} with input as {"call": object.union(ordinary, {"effect": "write", "targets": targets})}
	ids == set()
}

test_encoded_path_is_denied if {
	denies("read", {"path": "/api/v1/namespaces/shop/%73ecrets/db"}) == {"encoded-path"}
}

test_encoded_path_of_another_server_is_left_alone if denies("read", {"url": "https://shop.example/a%20b"}) == set()
