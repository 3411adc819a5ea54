@{
    'Find instances that expose nothing' = { Install-P11KitServer lab }
}
