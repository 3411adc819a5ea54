/*
 * What any program does that reaches a token through p11-kit-client.so: load it, list the slots, read the token, unload it.
 * One round for each line of standard input; says how long each took, in nanoseconds.
 */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void check(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "client: %s failed\n", what);
		exit(1);
	}
}

static void round_trip(const char *path)
{
	CK_C_GetFunctionList get_function_list;
	CK_FUNCTION_LIST *p11;
	CK_SLOT_ID slots[64];
	CK_ULONG count = sizeof slots / sizeof slots[0], i;
	CK_TOKEN_INFO info;
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	check(module != NULL, path);
	get_function_list = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	check(get_function_list && get_function_list(&p11) == CKR_OK, "C_GetFunctionList");
	check(p11->C_Initialize(NULL) == CKR_OK, "C_Initialize");
	check(p11->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK, "C_GetSlotList");
	check(count > 0, "finding a token");
	for (i = 0; i < count; i++)
		check(p11->C_GetTokenInfo(slots[i], &info) == CKR_OK, "C_GetTokenInfo");
	check(p11->C_Finalize(NULL) == CKR_OK, "C_Finalize");
	dlclose(module);
}

int main(int argc, char **argv)
{
	struct timespec before, after;
	char line[16];

	check(argc == 2, "finding the module's path");
	while (fgets(line, sizeof line, stdin)) {
		clock_gettime(CLOCK_MONOTONIC, &before);
		round_trip(argv[1]);
		clock_gettime(CLOCK_MONOTONIC, &after);
		printf("%lld\n", (after.tv_sec - before.tv_sec) * 1000000000LL + (after.tv_nsec - before.tv_nsec));
		fflush(stdout);
	}
	return 0;
}
