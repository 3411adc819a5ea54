# The HsmRemote authors. MIT licence.
"""Says so where ansible-core cannot run the module, which is in PowerShell; else it runs it, as without an action."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.release import __version__


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super(ActionModule, self).run(tmp, task_vars)
        if tuple(int(part) for part in __version__.split(".")[:2]) < (2, 21):
            raise AnsibleActionFail(
                "hsmremote.p11kit.p11_kit_server is a module in PowerShell, which ansible-core runs on Linux from 2.21 on, and this is %s. "
                "Use the role hsmremote.p11kit.p11_kit_server or the action hsmremote.p11kit.cmdlet." % __version__
            )
        result.update(self._execute_module(task_vars=task_vars))
        return result
