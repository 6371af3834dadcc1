// What is wider than the page is scrolled with the keyboard too.
const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
        if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
        else target.removeAttribute("tabindex");
    }
});
document.querySelectorAll("pre, .table-wrapper, math[display=block]").forEach((box) => watch.observe(box));

// Its two margins are told apart by their names.
for (const [margin, name] of [[".sidebar-drawer", "All pages"], [".toc-drawer", "This page"]]) {
    document.querySelector(margin)?.setAttribute("aria-label", name);
}
