package firewarden.lib.kube_test

import data.firewarden.lib.kube

test_one_kind if kube.kinds("Pod") == {"pod"}

test_group_and_version_do_not_matter if kube.kinds("deployments.v1.apps") == {"deployments"}

test_list_of_kinds if kube.kinds("pods, Secret/x") == {"pods", "secret", "x"}

test_nothing if kube.kinds(" ") == set()
