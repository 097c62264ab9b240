/* A creator that takes no time: it answers `create --mode=sync` and `result` as content-creator does, and exits.
 * While a file `starts` lies in the working directory, each create adds its topic and its own start time to it. */

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RULE "────────────────────────────────────────"
#define ARTICLE "# An article\n\nIt says nothing, at once.\n"

static const char *option(int count, char **words, const char *name) {
    size_t length = strlen(name);
    for (int i = 2; i < count; i++)
        if (!strncmp(words[i], name, length)) return words[i] + length;
    return "";
}

/* Each task has an id of its own: of two tasks with one id the daemon takes the later for lost. */
static const char *new_id(void) {
    static char id[37];
    FILE *random = fopen("/proc/sys/kernel/random/uuid", "r");
    if (!random || !fgets(id, sizeof id, random)) strcpy(id, "00000000-0000-4000-8000-000000000000");
    if (random) fclose(random);
    return id;
}

static void tell_start(const char *topic, struct timespec now) {
    if (access("starts", W_OK)) return;
    FILE *starts = fopen("starts", "a");
    if (!starts) return;
    fprintf(starts, "%s %lld.%06ld\n", topic, (long long)now.tv_sec, now.tv_nsec / 1000);
    fclose(starts);
}

int main(int count, char **words) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const char *command = count > 1 ? words[1] : "";
    if (!strcmp(command, "create")) {
        tell_start(option(count, words, "--topic="), now);
        printf("%s\n\n✅ 执行成功\n" RULE "\n任务ID: %s\n状态: 已完成\n", option(count, words, "--requirements="), new_id());
    } else if (!strcmp(command, "result")) {
        printf("\n📄 任务结果\n" RULE "\n任务ID: %s\n状态: ✅ 已完成\n" RULE "\n\n📋 生成结果\n" RULE "\n1. ARTICLE\n" RULE
               "\n内容:\n" ARTICLE "\n字数: %zu\n" RULE "\n", option(count, words, "--task-id="), strlen(ARTICLE));
    } else {
        printf("[]\n");
    }
    return 0;
}
