@{
    'LONG DESCRIPTION' = { Connect-Builder }
}
