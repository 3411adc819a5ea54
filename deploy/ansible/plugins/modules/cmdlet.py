#!/usr/bin/python
# The HsmRemote authors. MIT licence.
"""The documentation of an action: plugins/action/cmdlet.py does it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: cmdlet
short_description: Run a cmdlet of HsmRemote
description:
  - Runs one cmdlet on the host, in C(hsmremote) or in PowerShell, and tells Ansible what it changed, with the difference of every file.
  - In check mode the cmdlet is run with C(-WhatIf). It makes the same plan, and changes nothing.
  - An error of the cmdlet, and a test that does not succeed, fail the task with the cause and the remedy in its message.
  - Needs no Python on the host.
version_added: 0.1.0
author:
  - The HsmRemote authors
options:
  name:
    description: The cmdlet, such as C(Install-P11KitServer).
    type: str
    required: true
  parameters:
    description: The cmdlet's parameters by name, without the C(-). A switch is C(true) or C(false).
    type: dict
    default: {}
  pin:
    description:
      - The PIN for the cmdlet's C(-Pin). It goes to the program's standard input, and into no argument, file or log.
      - Keep it in a vault. An empty one is none.
    type: str
  engine:
    description:
      - What runs the cmdlet, by its absolute path. A program whose name begins with C(pwsh) is taken for PowerShell 7.6 or later with the module installed.
    type: path
    default: /usr/local/bin/hsmremote
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: A socket for the group hsm
  hsmremote.p11kit.cmdlet:
    name: Install-P11KitServer
    parameters:
      Name: edge
      Group: hsm
      TargetUri:
        - pkcs11:token=edge-token

- name: The container's user signs with the key behind it
  hsmremote.p11kit.cmdlet:
    name: Test-P11Socket
    parameters:
      Name: edge
      Uid: 5000
      Gid: 992
    pin: "{{ vault_pin }}"
"""

RETURN = r"""
objects:
  description: What the cmdlet wrote, one dictionary an object.
  returned: when the cmdlet was run
  type: list
  elements: dict
changes:
  description: The steps of the plan, in order.
  returned: when something was changed or, in check mode, would be
  type: list
  elements: str
"""
