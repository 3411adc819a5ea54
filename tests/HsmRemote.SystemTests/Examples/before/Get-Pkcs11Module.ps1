@{
    'See why a module is not used' = { Register-Pkcs11Module opensc-pkcs11 -Disabled }
}
