@{
    'Forward a socket to a host of containers' = { Connect-Builder }
    'See what it would do'                     = { Connect-Builder }
    'Bring a socket of another host here'      = { Connect-Builder }
    'Log in with a key of its own'             = { Connect-Builder }
}
