@{
    'Test a forward'             = { Connect-Builder edge-builder }
    'See what is wrong with any' = { Connect-Builder edge-builder }
    'Only whether it works'      = { Connect-Builder edge-builder }
}
