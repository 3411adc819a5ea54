$opensc = { Register-Pkcs11Module opensc -Path opensc-pkcs11.so }
@{
    'Remove a module'                     = $opensc
    'See what would be removed'           = $opensc
    'Switch a package''s module on again' = { Register-Pkcs11Module opensc-pkcs11 -Disabled }
}
