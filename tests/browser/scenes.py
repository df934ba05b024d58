"""What scenes of the gallery are made of: who looks, and how a form is filled and sent."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.test_tree import Scene, visiting
from tests.harness import World
from tests.pages import visitors

__all__ = ["EVERYTHING", "EXTRA", "NOBODY", "Scene", "person_of", "post_bare", "send", "visiting"]

EVERYTHING, NOBODY = "everything", ""
EXTRA = {
    "newcomer": (),
    EVERYTHING: ("operator", "reviewer", "auditor", "admin"),
    "pioneer": ("operator", "reviewer", "auditor", "admin"),
}
"""People beside the cast of every world, with their roles."""


def person_of(world: World, username: str) -> None:
    """Makes the person of a scene, unless the world has them; the pioneer's tenant is empty."""
    if username in EXTRA:
        tenant = "elsewhere" if username == "pioneer" else world.tenant
        visitors.make_person(username, *EXTRA[username], tenant=tenant)


def send(page: Page, address: str, button: str, /, **fields: str) -> None:
    """Fills the form at an address, and sends it even where the browser would ask for more."""
    if address:
        page.goto(address)
    page.evaluate("document.querySelectorAll('form').forEach(f => { f.noValidate = true })")
    for name, text in fields.items():
        field = page.locator(f"main [name='{name.replace('__', '.')}']").first
        if field.evaluate("e => e.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.fill(text)
    with page.expect_navigation():
        page.get_by_role("button", name=button, exact=True).first.click()


def post_bare(page: Page) -> None:
    """Sends the form of a page as it stands, with neither a confirmation nor a signature."""
    with page.expect_navigation():
        page.evaluate(
            """() => {
              const form = document.querySelector('main form');
              form.querySelector('[name=confirmed]')?.remove();
              form.submit();
            }"""
        )
